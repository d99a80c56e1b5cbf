# The real window on a display of its own, driven with real mouse and key events. To be sourced after common.sh.
#
# Nothing here trusts that a machine is fast: what is waited for is seen on the screen or found in a file.

need_packages "${window_packages[@]}" xvfb xdotool imagemagick || fail "Without them the window cannot be driven."
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}
work=$(mktemp -d "${TMPDIR:-/tmp}/vitruvian-window.XXXXXX")
export XDG_DATA_HOME=$work/data
unset WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS

display_pid='' window_pid='' screen=''
stop_all() {
  [[ -z $window_pid ]] || kill -9 "$window_pid" 2>/dev/null || true
  [[ -z $display_pid ]] || kill "$display_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap stop_all EXIT

# wait_for SECONDS COMMAND…: until it succeeds; fails when it does not in that time.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    [[ -z $window_pid ]] || kill -0 "$window_pid" 2>/dev/null || { cat "$work/log" >&2; fail "The window is gone."; }
    sleep 0.2
  done
}

# start_display WIDTHxHEIGHT: sets DISPLAY.
start_display() {
  screen=$1
  rm -f "$work/display"
  Xvfb -displayfd 3 -screen 0 "$1x24" -nolisten tcp -noreset 3>"$work/display" 2>/dev/null &
  display_pid=$!
  wait_for 60 test -s "$work/display" || fail "There is no display."
  export DISPLAY=:$(<"$work/display")
}

stop_display() {
  kill "$display_pid"
  wait "$display_pid" 2>/dev/null || true
  display_pid=''
}

# grey X Y: how bright a point of the screen is, 0 to 255.
grey() {
  import -window root -crop "1x1+$1+$2" -depth 8 gray:- 2>/dev/null | od -An -tu1 | tr -d ' '
}

# The panels are this bright in the dark theme; a question dims all that is behind it. Both are seen at the lower edge.
panel_grey=33
at_the_edge() { grey $((${screen%x*} / 2)) $((${screen#*x} - 3)); }
is_drawn() { (($(at_the_edge) * 100 >= panel_grey * 85)); }
is_asked() {
  local edge
  edge=$(at_the_edge)
  ((edge > 4 && edge * 100 < panel_grey * 85))
}

window_id() { xdotool search --onlyvisible --name '^Vitruvian$' 2>/dev/null | head -n 1 | grep .; }

# open_window PROGRAM ARGUMENT…: waits until it is drawn and gives it the keyboard.
open_window() {
  "$@" 2>>"$work/log" &
  window_pid=$!
  wait_for 90 window_id >/dev/null || fail "The window did not open."
  local id
  id=$(window_id)
  xdotool windowmove "$id" 0 0 windowsize "$id" "${screen%x*}" "${screen#*x}" windowfocus "$id"
  wait_for 60 eval 'is_drawn || is_asked' || fail "The window stays empty."
}

close_window() {
  kill -9 "$window_pid" 2>/dev/null || true
  wait "$window_pid" 2>/dev/null || true
  window_pid=''
}

keys() { xdotool key --delay 60 "$@"; sleep 0.2; }

# drag X,Y X,Y…: with the left button through points of the screen. A function after_move is called after each.
after_move() { :; }
drag() {
  xdotool mousemove "${1%,*}" "${1#*,}" mousedown 1
  shift
  local point
  for point in "$@"; do
    xdotool mousemove "${point%,*}" "${point#*,}"
    sleep 0.05
    after_move
  done
  xdotool mouseup 1
}

# look X Y WIDTH HEIGHT: a sum of that part of the screen.
look() { import -window root -crop "$3x$4+$1+$2" -depth 8 rgb:- 2>/dev/null | cksum; }
has_changed() { [[ $(look "${@:2}") != "$1" ]]; }

# save_as KEYS FILE: asks again until the file is there; what it is saved from may not be ready yet. There is no
# dialog of the system on this display, so the window itself asks, with this name already filled in.
save_as() {
  local turn
  rm -f "$2"
  for turn in {1..40}; do
    keys "$1"
    wait_for 3 is_asked || continue
    keys Return
    wait_for 60 is_drawn || fail "The question stays."
    wait_for 90 test -s "$2" && return
  done
  fail "$2 was not saved."
}
