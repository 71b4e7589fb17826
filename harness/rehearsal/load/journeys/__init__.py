"""Shoppers' journeys through the shop, sent by Locust in a process of its own, and what they show."""
