"""Deployments: replica sets that replace one another."""
