"""What `fedjoule pipeline` shows: tables, pictures and a trace of one scenario."""
