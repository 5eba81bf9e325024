"""On the PYTHONPATH, this puts the newest SQLite (pysqlite3) in the place of `sqlite3`."""

import sqlite3.dump
import sys

import pysqlite3
import pysqlite3.dbapi2

sys.modules["sqlite3"] = pysqlite3
sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2
sys.modules["sqlite3.dump"] = sqlite3.dump  # pysqlite3 has none
