"""Joining the other processes of a job by JAX's distributed runtime."""

import os

import jax


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Meet the other processes of the job at the first one's address, before anything is computed.

    What is not given is read from the environment: by JAX that of SLURM, Open MPI, a TPU pod and, with the package
    `kubernetes`, a Kubernetes job; here the number of a pod of an indexed job.

    Args:
        coordinator: The address of the first process, as host:port.
        processes: How many there are.
        process: Which one this is, counted from zero.

    Raises:
        ValueError: The environment does not say what is not given, or the numbers do not fit together.
    """
    if process is None and (index := os.environ.get("JOB_COMPLETION_INDEX", "")).isdecimal():
        process = int(index)
    known = None not in (coordinator, processes, process)
    if coordinator is not None and not coordinator.rpartition(":")[2].isdecimal():
        raise ValueError(f"--coordinator {coordinator}: give host and port, as in node1:1234.")
    try:
        jax.distributed.initialize(coordinator, processes, process, cluster_detection_method="deactivate" if known else None)
    except ValueError as error:
        raise ValueError(
            f"--distributed: the processes of the job do not find one another ({error}). Start them by srun, by mpirun or in a "
            "Kubernetes job with jax[k8s], or give --coordinator HOST:PORT, --processes and --process to each."
        ) from error
