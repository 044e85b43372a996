"""CronJobs: jobs at times."""
