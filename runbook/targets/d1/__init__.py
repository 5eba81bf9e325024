"""A Cloudflare D1 database as a target, reached through wrangler."""
