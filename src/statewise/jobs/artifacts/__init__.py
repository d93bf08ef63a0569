"""What is written: run folders, models, files that appear whole."""
