"""The list of videos: its page with the upload form, and the cards that its script exchanges."""
