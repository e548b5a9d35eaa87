"""The companion offline job: from conversations to a model the server can serve. The only place torch is used."""
