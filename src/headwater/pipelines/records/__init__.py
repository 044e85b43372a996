"""What the room remembers: experiments, pipelines, runs, tasks and artifacts, and how they are listed."""
