# The real window on a display of its own, driven with real mouse and key events. To be sourced after common.sh.

need_packages "${window_packages[@]}" xvfb xdotool imagemagick || fail "Without them the window cannot be driven."
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}
work=$(mktemp -d "${TMPDIR:-/tmp}/vitruvian-window.XXXXXX")
export XDG_DATA_HOME=$work/data
unset WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS

display_pid='' window_pid=''
stop_all() {
  [[ -z $window_pid ]] || kill -9 "$window_pid" 2>/dev/null || true
  [[ -z $display_pid ]] || kill "$display_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap stop_all EXIT

# start_display WIDTHxHEIGHT: sets DISPLAY.
start_display() {
  Xvfb -displayfd 3 -screen 0 "$1x24" -nolisten tcp 3>"$work/display" 2>/dev/null &
  display_pid=$!
  until [[ -s $work/display ]]; do sleep 0.1; done
  export DISPLAY=:$(<"$work/display")
}

# open_window PROGRAM ARGUMENT…: waits until it is there and gives it the keyboard.
open_window() {
  "$@" 2>>"$work/log" &
  window_pid=$!
  local id
  for _ in {1..300}; do
    id=$(xdotool search --onlyvisible --name '^Vitruvian$' 2>/dev/null | head -n 1) && [[ -n $id ]] && break
    kill -0 "$window_pid" 2>/dev/null || { cat "$work/log" >&2; fail "The window did not open."; }
    sleep 0.2
  done
  [[ -n $id ]] || fail "The window did not open."
  xdotool windowmove "$id" 0 0 windowfocus "$id"
  sleep 1
}

keys() { xdotool key --delay 60 "$@"; sleep 0.3; }

# drag X,Y X,Y…: with the left button through points of the screen.
drag() {
  xdotool mousemove "${1%,*}" "${1#*,}" mousedown 1
  shift
  local point
  for point in "$@"; do xdotool mousemove "${point%,*}" "${point#*,}"; sleep 0.05; done
  xdotool mouseup 1
  sleep 0.3
}

# save_as KEYS FILE: asks again until the file is there; what it is saved from may not be ready yet. There is no
# dialog of the system on this display, so the window itself asks, with this name already filled in.
save_as() {
  local turn
  rm -f "$2"
  for turn in {1..60}; do
    keys "$1"
    sleep 1.5
    keys Return
    for _ in {1..15}; do
      [[ -s $2 ]] && { sleep 2; keys Escape; return; } # on a slow machine it asks once more
      sleep 0.2
    done
  done
  fail "$2 was not saved."
}
