"""The container images of hifa, and what checks them where no engine runs."""
