"""Files in, canonical frames and one full report out. Never opens the database."""
