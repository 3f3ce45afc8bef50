"""The command line: arguments in, one call, print.  The only room that prints.

`app` finds the command and turns errors into sentences and exit codes; `output` prints.  Every
other module here is one command.
"""
