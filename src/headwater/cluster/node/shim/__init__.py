"""What runs beside a pod: a small process that outlives the control plane and owns the pod's processes.

Everything below is standard library only and imports nothing of Headwater but its own modules: the processes are
forked from one small interpreter (``zygote``), started with ``-I -S``, and there is one of them for every pod.
"""
