"""What a file that has taken over the reading process would try; runs in that process."""
