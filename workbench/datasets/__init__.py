"""From the patch manifest to batches."""
