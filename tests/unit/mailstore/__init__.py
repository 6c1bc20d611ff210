"""The store's modules one by one."""
