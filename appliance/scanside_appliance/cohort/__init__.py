"""Many studies into one table: found, measured on all cores or on a cluster, written down as they end."""
