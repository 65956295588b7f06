#!/bin/sh
# Gives a group write access to the clock files that deapd may write, and to nothing else: the caps and floors of the GPU
# and of the CPU clusters, and the switches of the cores but cpu0. Run as root by deapd.service before each start and by udev when the GPU driver binds; sysfs
# forgets owners and modes at each boot and each binding. Running it twice changes nothing.
#
#   grant-clocks.sh [--group NAME] [--root DIR]      DIR stands for /, for tests
set -eu

group=deapd
root=
while [ $# -gt 0 ]; do
  case $1 in
    --group) group=$2; shift 2 ;;
    --root) root=${2%/}; shift 2 ;;
    *) echo "grant-clocks.sh: unknown option $1" >&2; exit 2 ;;
  esac
done

# The GPU is the devfreq device whose device-tree node has this name, as in src/board/boards; without a node, its own name.
is_gpu() {
  if [ -r "$1/device/of_node/name" ]; then
    node=$(tr -d '\0' < "$1/device/of_node/name")
  else
    node=${1##*.}
  fi
  case $node in gpu | ga10b | gv11b | gpu-gpc-[0-9]*) return 0 ;; *) return 1 ;; esac
}

granted=0
failed=0
grant() {
  [ -f "$1" ] || return 0
  if chgrp "$group" "$1" && chmod g+w "$1"; then
    granted=$((granted + 1))
  else
    failed=$((failed + 1))
  fi
}

for device in "$root"/sys/class/devfreq/*; do
  if [ -d "$device" ] && is_gpu "$device"; then
    grant "$device/min_freq"
    grant "$device/max_freq"
  fi
done
for policy in "$root"/sys/devices/system/cpu/cpufreq/policy[0-9]*; do
  grant "$policy/scaling_min_freq"
  grant "$policy/scaling_max_freq"
done
# cpu0 has no switch on a Jetson, and would not be ours to take offline where it has one.
for core in "$root"/sys/devices/system/cpu/cpu[1-9]*; do
  grant "$core/online"
done

echo "grant-clocks.sh: group $group may write $granted clock files"
if [ "$failed" -gt 0 ]; then
  echo "grant-clocks.sh: $failed clock files could not be granted; deapd cannot cap these clocks" >&2
  exit 1
fi
