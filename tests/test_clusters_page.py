"""The scripts of docs/clusters.md, with stand-ins for Slurm and Ray, and the commands in them."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

PAGE = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|yaml|dockerfile)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SCRIPTS = [block for kind, block in BLOCKS if kind == "bash" and block.startswith("#!")]
LINES = [block.splitlines() for kind, block in BLOCKS if kind == "bash" and not block.startswith("#!")]
#: Slurm's command executes what follows its options; the others write down how they are called.
STAND_INS = {
    "srun": 'echo "srun $@" >> "$CALLS"; while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "ray": 'echo "ray $@" >> "$CALLS"',
    "cliptune": 'sleep 0.5; echo "cliptune $@" >> "$CALLS"',
    "hostname": "echo node1",
}


@pytest.fixture
def run_script(tmp_path):
    """A function that runs a script with arguments and variables, and returns the commands that it called."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    for name, body in STAND_INS.items():
        file = tmp_path / "venv" / "bin" / name
        file.write_text(f"#!/bin/bash\n{body}\n")
        file.chmod(0o755)
    (tmp_path / "venv" / "bin" / "activate").write_text(f'PATH="{tmp_path}/venv/bin:$PATH"\n')
    calls = tmp_path / "calls"

    def run(script, *arguments, **variables):
        calls.write_text("")
        given = {**os.environ, "VENV": str(tmp_path / "venv"), "CALLS": str(calls), **variables}
        command = ["bash", "-c", script, "script", *arguments]
        done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return calls.read_text().splitlines()

    return run


def options_are_known(cli, command):
    """Parse a command as far as its data, which do not exist."""
    words = shlex.split(command)
    assert words.pop(0) == "cliptune"
    result = cli(*words)
    assert result.code == 2 and "/shared/photos" in result.err, result.err


def test_an_array_of_jobs(run_script, cli):
    (command,) = run_script(SCRIPTS[0])
    assert "#SBATCH --array=1-4" in SCRIPTS[0]
    options_are_known(cli, command)
    assert LINES[0][1] == f"{command} --dry-run"


def test_ray_in_a_job(run_script, cli):
    given = [shlex.split(line) for line in LINES[1]]
    assert [line[:2] for line in given] == [["sbatch", "ray.sh"]] * 2
    for line in given:
        calls = run_script(SCRIPTS[1], *line[2:], SLURM_NNODES="3", SLURM_JOB_ID="123456", SLURM_CPUS_PER_TASK="32")
        assert "ray start --head --block --port=23456 --num-cpus=32 --include-dashboard=false" in calls
        assert "ray status --address=node1:23456" in calls
        other = "ray start --block --address=node1:23456 --num-cpus=32"
        assert other in calls and f"srun --nodes=2 --ntasks=2 --cpus-per-task=32 --exclude=node1 {other}" in calls
        command = next(call for call in calls if call.startswith("cliptune"))
        assert "--runner ray --address node1:23456 --gpus-per-task 1 --cpus-per-task 8" in command
        options_are_known(cli, command)
    assert not any("--exclude" in call for call in run_script(SCRIPTS[1], *given[0][2:], SLURM_NNODES="1"))


def test_the_manifest(cli):
    job = yaml.safe_load(next(block for kind, block in BLOCKS if kind == "yaml"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    options_are_known(cli, job["spec"]["entrypoint"])
    cluster = job["spec"]["rayClusterSpec"]
    image = next(block for kind, block in BLOCKS if kind == "dockerfile")
    assert f"ray:{cluster['rayVersion']}-" in image, "the version of Ray in the image"
    (workers,) = cluster["workerGroupSpecs"]
    for group in (cluster["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        assert [volume["name"] for volume in pod["volumes"]] == ["shared"]
    limits = workers["template"]["spec"]["containers"][0]["resources"]["limits"]
    asked = dict(re.findall(r"--(\w+)-per-task (\d+)", job["spec"]["entrypoint"]))
    assert int(limits["nvidia.com/gpu"]) >= int(asked["gpus"]) and int(limits["cpu"]) >= int(asked["cpus"])


def test_links_name_sections():
    for page, section in re.findall(r"\((\w+\.md)#([\w-]+)\)", PAGE):
        text = (Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")
        titles = [
            re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-")
            for line in re.findall(r"^#+ (.*)$", text, re.M)
        ]
        assert section in titles, (page, section)
