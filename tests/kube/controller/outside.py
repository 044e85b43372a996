"""The Job controller as a process of its own: ``python outside.py KUBECONFIG IDENTITY``.

What runs here is what runs inside the embedded cluster; only the client differs.
"""

import asyncio
import sys

from headwater.cluster.controllers.job.reconciler import job_controller
from headwater.kube.client.http import HttpClient
from headwater.kube.controller import EventRecorder, Informers, LeaderElection, Manager
from headwater.kube.meta.time import SystemClock


async def main(kubeconfig: str, identity: str) -> None:
    clock = SystemClock()
    election = LeaderElection("kube-system", "jobs", identity, lease_duration=1, renew_deadline=0.8, retry_period=0.2)
    async with HttpClient.from_kubeconfig(kubeconfig) as client:
        informers = Informers(client)
        controllers = [job_controller(client, informers, EventRecorder(client, "jobs"), clock)]
        print("running", flush=True)
        await Manager(client, informers, controllers, clock, leader_election=election).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
