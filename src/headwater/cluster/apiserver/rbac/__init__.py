"""Who may do what: the RBAC authorizer, the roles every cluster starts with, and the reviews that ask about them."""
