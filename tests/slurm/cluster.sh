#!/usr/bin/env bash
# A SLURM cluster of one machine, for tests: munged, slurmctld and a few slurmd, on the loopback alone, without systemd.
#
#   cluster.sh up | down | kill-node N | start-node N | leftovers
#
# Needs root and: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
# SLURM_TEST_BASE: directory of everything that it writes; short, because a socket's path has at most 108 characters.
set -euo pipefail
BASE=${SLURM_TEST_BASE:-/tmp/attacca-slurm}
NODES=${SLURM_TEST_NODES:-2}
PORT=${SLURM_TEST_PORT:-17817}             # of slurmctld; node i listens on PORT + i
CONF=$BASE/slurm.conf
MUNGE=$BASE/munge

write_configuration() {
  local memory names i gres
  # Each node has one core, so that two jobs run at once, and its share of the memory.
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  names=$(seq -s, -f 'n%g' 1 "$NODES")
  cat > "$CONF" <<C
ClusterName=attacca
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$MUNGE/munge.sock
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SrunPortRange=$((PORT + 100))-$((PORT + 199))
StateSaveLocation=$BASE/state
SlurmdSpoolDir=$BASE/spool-%n
SlurmctldPidFile=$BASE/slurmctld.pid
SlurmdPidFile=$BASE/slurmd-%n.pid
SlurmctldLogFile=$BASE/slurmctld.log
SlurmdLogFile=$BASE/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
# Memory that processes share counts once. The sum of their resident memory would count it again for a process
# between fork and exec, and end jobs for memory that they never had.
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
# Snakemake asks squeue for the final status of jobs, so squeue must remember them.
MinJobAge=3600
MaxJobCount=10000
KillWait=5
# A node that does not answer for this long is down, and its jobs have failed.
SlurmdTimeout=30
SlurmctldTimeout=60
# A busy machine answers late.
MessageTimeout=60
TCPTimeout=2
C
  : > "$BASE/gres.conf"
  for i in $(seq 1 "$NODES"); do
    # A NodeHostname of its own lets several slurmd share a host in Debian's build; NodeAddr and Port find them.
    gres=""
    if [ "$i" = 1 ]; then
      gres="Gres=gpu:1"
      echo "NodeName=n1 Name=gpu File=/dev/null" >> "$BASE/gres.conf"
    fi
    echo "NodeName=n$i NodeHostname=n$i NodeAddr=127.0.0.1 Port=$((PORT + i)) CPUs=1" \
         "RealMemory=$((memory / NODES)) $gres State=UNKNOWN" >> "$CONF"
  done
  echo "PartitionName=cpu Nodes=$names Default=YES MaxTime=600 DefaultTime=10 DefMemPerCPU=500 State=UP" >> "$CONF"
  echo "PartitionName=gpu Nodes=n1 MaxTime=600 State=UP" >> "$CONF"
}

start_node() {
  # SLURM's process tracking without cgroups can lose processes of a cancelled job. Each slurmd is process 1 of a PID
  # namespace: when it ends, the kernel ends all that it started, and nothing else.
  setsid unshare --pid --fork --kill-child --mount-proc slurmd -D -N "n$1" > "$BASE/slurmd-n$1.out" 2>&1 < /dev/null &
  echo $! > "$BASE/namespace-n$1.pid"
}

kill_node() {
  local file=$BASE/namespace-n$1.pid
  if [ -s "$file" ]; then
    # unshare ignores TERM.
    kill -9 "$(cat "$file")" 2> /dev/null || true
    rm -f "$file"
  fi
}

wait_for_idle_nodes() {
  for _ in $(seq 1 300); do
    if [ "$(sinfo -h -N -p cpu -t idle -o %N 2> /dev/null | wc -l)" = "$NODES" ]; then return 0; fi
    sleep 0.2
  done
  echo "not all nodes are idle after a minute; see $BASE/*.log" >&2
  return 1
}

up() {
  local i
  if [ -e /etc/slurm/slurm.conf ] && [ "$(readlink /etc/slurm/slurm.conf || true)" != "$CONF" ]; then
    echo "/etc/slurm/slurm.conf belongs to another SLURM; it is left alone" >&2
    return 3
  fi
  mkdir -p "$BASE/state" "$MUNGE" /etc/slurm
  for i in $(seq 1 "$NODES"); do mkdir -p "$BASE/spool-n$i"; done
  write_configuration
  [ -s "$MUNGE/munge.key" ] || dd if=/dev/urandom of="$MUNGE/munge.key" bs=1024 count=1 status=none
  chown -R munge:munge "$MUNGE"; chmod 711 "$MUNGE"; chmod 400 "$MUNGE/munge.key"
  runuser -u munge -- /usr/sbin/munged --key-file="$MUNGE/munge.key" --socket="$MUNGE/munge.sock" \
    --pid-file="$MUNGE/munged.pid" --log-file="$MUNGE/munged.log" --seed-file="$MUNGE/munged.seed"
  # The executor removes SLURM_CONF from a job step's environment: the configuration must be at its usual path.
  ln -sfn "$CONF" /etc/slurm/slurm.conf
  ln -sfn "$BASE/gres.conf" /etc/slurm/gres.conf
  slurmctld -i
  for i in $(seq 1 "$NODES"); do start_node "$i"; done
  wait_for_idle_nodes
}

down() {
  local i file pid name
  scancel --user=root 2> /dev/null || true
  for i in $(seq 1 "$NODES"); do kill_node "$i"; done
  for file in "$BASE/slurmctld.pid" "$MUNGE/munged.pid"; do
    [ -s "$file" ] || continue
    pid=$(cat "$file")
    kill "$pid" 2> /dev/null || true
    for _ in $(seq 1 40); do kill -0 "$pid" 2> /dev/null || break; sleep 0.25; done
    kill -9 "$pid" 2> /dev/null || true
  done
  for name in slurm.conf gres.conf; do
    if [ "$(readlink "/etc/slurm/$name" || true)" = "$BASE/$name" ]; then rm "/etc/slurm/$name"; fi
  done
}

leftovers() {
  # Processes of this cluster that still run; none is printed after `down`.
  ps -eo pid=,args= | grep -E "$BASE/|slurmstepd|[s]lurmd -D -N n[0-9]|[s]lurmctld -i" | grep -v -E "grep|cluster\.sh" || true
}

case ${1:-} in
  up) up ;;
  down) down ;;
  kill-node) kill_node "${2:?which node}" ;;
  start-node) start_node "${2:?which node}"; wait_for_idle_nodes ;;
  leftovers) leftovers ;;
  *) echo "usage: $0 up | down | kill-node N | start-node N | leftovers" >&2; exit 2 ;;
esac
