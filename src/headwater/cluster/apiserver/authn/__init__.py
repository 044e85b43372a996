"""Who is asking: client certificates, service-account tokens, impersonation, and the reviews that ask about them."""
