#!/bin/bash
# Installs deapd from this folder, without any network: the built repository or an unpacked release.
#
#   sudo scripts/install.sh                     on the Jetson itself: files, user, service, start
#        scripts/install.sh --root DIR          into the root file system of an image: files only, enabled by a link
#   sudo scripts/install.sh --uninstall         removes what was installed; keeps /etc/deapd and /var/lib/deapd
#
#   --dry-run      say what would be done, do nothing
#   --node FILE    install this Node beside deapd (default: bin/node of this folder, else the Node of the system)
#   --arch ARCH    with --root: processor of the image, arm64 (default) or x64
#   --no-start     enable the service, but do not start it
#
# Running it again is safe: the same files are not copied twice, and another version takes over in one step (the link
# /opt/deapd/current); the version before it stays, and older ones go. /etc/deapd/config.json is never touched.
set -euo pipefail

oldest_node='20.19'
source=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
root='' arch='' node_file='' action=install dry_run=false start=true

say() { echo "install.sh: $*"; }
fail() { echo "install.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
run() { if $dry_run; then echo "  would run: $*"; else "$@"; fi; }

while [ $# -gt 0 ]; do
  case $1 in
    --root | --node | --arch)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in --root) root=$2 ;; --node) node_file=$2 ;; --arch) arch=$2 ;; esac
      shift 2 ;;
    --dry-run) dry_run=true; shift ;;
    --uninstall) action=uninstall; shift ;;
    --no-start) start=false; shift ;;
    --help | -h) usage; exit 0 ;;
    *) echo "install.sh: unknown option $1 (see --help)" >&2; exit 2 ;;
  esac
done

if [ -n "$root" ]; then
  [ -d "$root" ] || fail "--root $root is not a folder"
  root=$(readlink -f "$root")
  [ "$root" != / ] || fail "--root / is the running system: leave --root away"
elif ! $dry_run && [ "$(id -u)" -ne 0 ]; then
  fail 'it must be run as root (sudo); to build an image use --root DIR'
fi
live() { [ -z "$root" ]; }

opt=$root/opt/deapd
unit=$root/etc/systemd/system/deapd.service
wants=$root/etc/systemd/system/multi-user.target.wants/deapd.service
sysusers=$root/etc/sysusers.d/deapd.conf
rules=$root/etc/udev/rules.d/99-z-deapd.rules
command=$root/usr/local/bin/deapd

# ---- what is here and whether it fits ------------------------------------------------------------------------------

arch_of_machine() {
  case $(uname -m) in aarch64) echo arm64 ;; x86_64) echo x64 ;; *) uname -m ;; esac
}

# Processor of a program, from its ELF header: a program of another processor cannot be asked.
arch_of_program() {
  case $(od -An -tx1 -N4 "$1" | tr -d ' ') in 7f454c46) ;; *) echo 'no program'; return ;; esac
  case $(od -An -tu2 -j18 -N2 "$1" | tr -d ' ') in 183) echo arm64 ;; 62) echo x64 ;; *) echo other ;; esac
}

is_new_enough() {
  [ "$(printf '%s\n' "$oldest_node" "$1" | sort -V | head -n 1)" = "$oldest_node" ]
}

# Sets node_path (where it is now) and node_copied (whether it comes with us or stays where the system has it).
choose_node() {
  local candidate
  node_copied=true
  if [ -n "$node_file" ]; then
    node_path=$node_file
  elif [ -f "$source/bin/node" ] && [ ! -L "$source/bin/node" ]; then
    node_path=$source/bin/node
  else
    node_copied=false
    node_path=''
    for candidate in "$root/usr/local/bin/node" "$root/usr/bin/node" "$(if live; then command -v node || true; fi)"; do
      if [ -z "$node_path" ] && [ -f "$candidate" ]; then node_path=$candidate; fi
    done
  fi
  [ -f "$node_path" ] || fail "there is no Node here: install Node $oldest_node or newer, or give one with --node FILE"
  node_path=$(readlink -f "$node_path")
  # The service may not look into home folders, where nvm and friends keep theirs.
  case ${node_path#"$root"} in /home/* | /root/*) node_copied=true ;; esac
  local node_arch version
  node_arch=$(arch_of_program "$node_path")
  [ "$node_arch" = "$arch" ] || fail "$node_path is for $node_arch, and this installation is for $arch"
  if version=$("$node_path" --version 2>/dev/null); then
    is_new_enough "${version#v}" || fail "$node_path is Node ${version#v}: Node $oldest_node or newer is needed"
    say "Node ${version#v} ($node_path)"
  else
    say "Node at $node_path is for another processor: its version was not checked ($oldest_node or newer is needed)"
  fi
}

check_machine() {
  local machine
  machine=$(arch_of_machine)
  if live; then
    [ -z "$arch" ] || [ "$arch" = "$machine" ] || fail "--arch $arch is only for --root; this machine is $machine"
    [ "$machine" = arm64 ] || $dry_run || fail "this machine is $machine, a Jetson is arm64; to build an image use --root DIR"
    arch=$machine
    command -v systemctl > /dev/null || $dry_run || fail 'systemctl was not found: deapd is run by systemd'
    if ! tr '\0' '\n' 2>/dev/null < /proc/device-tree/compatible | grep -q 'nvidia,tegra'; then
      say 'warning: this is not a Jetson; the service will run on the simulated board'
    fi
  else
    arch=${arch:-arm64}
  fi
}

# ---- the files --------------------------------------------------------------------------------------------------------

archive() {
  tar -C "$source" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u+rw,go-w,a+rX -T "$1" -cf -
}

install_files() {
  local lister list version target digest fresh former
  lister=$(command -v node || true)
  if [ "$(arch_of_program "$node_path")" = "$(arch_of_machine)" ]; then lister=$node_path; fi
  [ -n "$lister" ] || fail 'a Node that runs on this machine is needed to read package-lock.json'
  list=$(mktemp)
  # shellcheck disable=SC2064 # the name is meant as it is now
  trap "rm -f '$list'" EXIT
  "$lister" "$source/scripts/runtime-files.mjs" "$arch" > "$list" || fail 'this folder is not complete (see above)'
  grep -q '^models/' "$list" || say 'warning: there is no model package in models/; give one with DEAPD_MODEL in /etc/deapd/environment'
  version=$("$lister" -p 'JSON.parse(fs.readFileSync(process.argv[1], "utf8")).version' "$source/package.json")
  target=$opt/$version
  digest=$(archive "$list" | sha256sum | cut -d ' ' -f 1)-$arch-$(sha256sum < "$node_path" | cut -c 1-16)-$node_copied
  former=$(readlink "$opt/current" 2>/dev/null || true)

  if [ "$(cat "$target/.digest" 2>/dev/null || true)" = "$digest" ]; then
    say "version $version is in $target already"
  elif $dry_run; then
    say "would copy $(wc -l < "$list") files and folders to $target"
  else
    say "copying version $version to $target"
    fresh=$opt/.new.$$
    rm -rf "$opt"/.new.* "$opt"/.old.*
    mkdir -p "$fresh/bin"
    chmod 755 "$opt" "$fresh" "$fresh/bin"
    archive "$list" | tar -C "$fresh" --no-same-owner -xpf -
    if $node_copied; then
      install -m 755 "$node_path" "$fresh/bin/node"
    else
      ln -s "${node_path#"$root"}" "$fresh/bin/node"
    fi
    echo "$digest" > "$fresh/.digest"
    # On the disk before anything points to it: power may go at any moment.
    sync -f "$fresh"
    if [ -e "$target" ]; then mv -T "$target" "$opt/.old.$$"; fi
    mv -T "$fresh" "$target"
    rm -rf "$opt/.old.$$"
  fi
  if [ "$former" != "$version" ]; then
    say "current version: $version${former:+, formerly $former}"
    run ln -sfn "$version" "$opt/.current"
    run mv -T "$opt/.current" "$opt/current"
    # The version before this one stays, to go back to; older ones go.
    for old in "$opt"/*/; do
      [ -d "$old" ] || continue
      case $(basename "$old") in current | "$version" | "$former") ;; *) run rm -rf "${old%/}" ;; esac
    done
  fi
}

install_settings() {
  local wrapper
  run install -D -m 644 "$source/systemd/deapd.service" "$unit"
  run install -D -m 644 "$source/systemd/deapd.sysusers.conf" "$sysusers"
  run install -D -m 644 "$source/systemd/99-z-deapd.rules" "$rules"
  run install -d -m 755 "$root/etc/deapd" "$(dirname "$wants")" "$(dirname "$command")"
  run ln -sfn /etc/systemd/system/deapd.service "$wants"
  wrapper=$(mktemp)
  printf '#!/bin/sh\nexec /opt/deapd/current/bin/node /opt/deapd/current/dist/main.js "$@"\n' > "$wrapper"
  run install -m 755 "$wrapper" "$command"
  rm -f "$wrapper"
}

# ---- the running system -------------------------------------------------------------------------------------------------

make_user() {
  if command -v systemd-sysusers > /dev/null; then
    run systemd-sysusers "$sysusers"
  else
    getent group deapd > /dev/null || run groupadd --system deapd
    getent passwd deapd > /dev/null ||
      run useradd --system --gid deapd --home-dir /var/lib/deapd --shell /usr/sbin/nologin deapd
    for group in video render; do
      if getent group $group > /dev/null; then run usermod -aG $group deapd; fi
    done
  fi
}

start_service() {
  make_user
  run systemctl daemon-reload
  run udevadm control --reload
  run udevadm trigger --subsystem-match=devfreq --action=change
  if $start; then
    # The unit is of type notify: this comes back when deapd answers, or fails.
    run systemctl restart deapd || fail "deapd did not start: see journalctl -u deapd -e"
    say 'deapd runs: http://127.0.0.1:8717/ui'
  fi
}

uninstall() {
  if live; then
    # Its ExecStopPost puts the clocks back.
    if [ -e "$unit" ]; then run systemctl disable --now deapd; fi
  fi
  run rm -f "$wants" "$unit" "$sysusers" "$rules" "$command"
  run rm -rf "$opt"
  if live; then
    run systemctl daemon-reload
    run udevadm control --reload
  fi
  say 'removed; /etc/deapd, /var/lib/deapd and the user deapd were kept'
}

if [ $action = uninstall ]; then
  uninstall
  exit 0
fi
check_machine
choose_node
install_files
install_settings
if live; then
  start_service
else
  # At the first start of the image systemd makes the user: it looks for new users when /usr is newer than /etc/.updated.
  run touch "$root/usr"
  [ "$(id -u)" -eq 0 ] || say 'warning: the files belong to you, not to root: change that before the image is used'
  say "deapd is in $root, enabled for its first start"
fi
