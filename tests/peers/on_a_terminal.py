"""Runs a command on a terminal of 40 rows and 120 columns, and writes to standard output all that the terminal gets.

Usage: on_a_terminal.py PROGRAM [ARGUMENT...]
"""

import fcntl
import os
import pty
import struct
import sys
import termios

pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    try:
        seen = os.read(terminal, 65536)
    except OSError:  # Linux' way to say that the other side is closed
        break
    if not seen:
        break
    os.write(1, seen)
os.waitpid(pid, 0)
