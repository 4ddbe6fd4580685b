"""What training costs on fleets, as tables and figures."""
