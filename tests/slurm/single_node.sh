#!/usr/bin/env bash
# A Slurm of one node for the tests: everything it writes is in FOLDER, and nothing of the system's
# own Slurm or munge is touched.
#
#   single_node.sh start FOLDER    munged, slurmctld and slurmd; then: export SLURM_CONF=FOLDER/slurm.conf
#   single_node.sh stop FOLDER
#
# Needs Debian's packages slurm-wlm and munge, and root (slurmd starts jobs as whoever asks for them).
# Partitions: `low` (jobs of it are put back into the queue for those of `high`) and `high`.
set -euo pipefail
export PATH="$PATH:/usr/sbin"
action=$1
folder=$(realpath -m "$2")

# Wait until a command succeeds, for at most 20 seconds.
wait_for() {
  local n
  for n in $(seq 100); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  echo "gave up waiting for: $*" >&2
  return 1
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}

configure() {
  local host cores memory
  host=$(hostname -s)
  memory=$(awk '/MemTotal/ { print int($2 / 1024 / 2) }' /proc/meminfo)
  cat >"$folder/slurm.conf" <<CONF
ClusterName=workbench
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=15
MinJobAge=300
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=3 RealMemory=$memory State=UNKNOWN
PartitionName=low Nodes=$host Default=YES PriorityTier=1 MaxTime=60 State=UP
PartitionName=high Nodes=$host PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP
CONF
}

start() {
  mkdir -p "$folder/state" "$folder/spool"
  dd if=/dev/urandom of="$folder/munge.key" bs=1 count=1024 status=none
  chmod 400 "$folder/munge.key"
  # --force: the folder of a test is private, which munge would only warn of
  munged --force --num-threads=2 --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" \
    2>"$folder/munged.err"
  configure
  export SLURM_CONF="$folder/slurm.conf"
  slurmctld -f "$SLURM_CONF"
  wait_for scontrol ping
  slurmd -f "$SLURM_CONF" -N "$(hostname -s)" -b
  wait_for sh -c 'sinfo --noheader --format=%T | grep -q idle'
}

stop() {
  local name pid
  export SLURM_CONF="$folder/slurm.conf"
  scancel --user="$(id -un)" --signal=KILL --full 2>/dev/null || true
  for name in slurmd slurmctld munged; do
    if pid=$(cat "$folder/$name.pid" 2>/dev/null); then
      kill "$pid" 2>/dev/null || true
      wait_for sh -c "! kill -0 $pid" || kill -KILL "$pid"
    fi
  done
}

case $action in
  start) start ;;
  stop) stop ;;
  *) echo "usage: $0 start|stop FOLDER" >&2; exit 2 ;;
esac
