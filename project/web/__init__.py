"""The web server of this site: Gunicorn with a worker that slow clients cannot occupy."""
