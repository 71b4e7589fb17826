"""What the service does: takes orders' events, works on payments at the provider, refunds, hears webhooks."""
