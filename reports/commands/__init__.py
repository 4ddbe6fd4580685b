"""The sub-commands: parse, call one function, print or write."""
