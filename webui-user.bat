@echo off
rem Starts the web UI. The lines below are yours to edit; flags are listed in docs\flags.md.

set COMMANDLINE_ARGS=
set PYTHON=
set VENV_DIR=
set TORCH_COMMAND=

rem ---------------------------------------------------------------------------------------------------------------------
cd /d "%~dp0"

if defined PYTHON goto named
where py >nul 2>nul && goto starter
where python >nul 2>nul && goto plain
echo Python wasn't found: install Python 3.11 or newer (64-bit) from python.org and start again.
goto failed

:named
rem Quotes around the path are taken off and put back, so that both ways of writing it work.
set PYTHON=%PYTHON:"=%
"%PYTHON%" webui.py %*
goto ended

:starter
py -3 webui.py %*
goto ended

:plain
python webui.py %*

:ended
if %ERRORLEVEL% EQU 0 exit /b 0
echo The web UI ended with status %ERRORLEVEL%; the reason stands above.

:failed
pause
exit /b 1
