#!/bin/sh
# Becomes one process of the platform: the argument is its role, web without one.
#
#   web         pages, REST and sockets. Without REDIS_URL it is the whole platform: it
#               prepares its own SQLite file and runs the turns itself.
#   worker      turns: speech recognition, language model, speech
#   background  summaries and housekeeping
#   beat        the clock of the periodic tasks; one in an installation
#   migrate     brings database, preset characters and speech weights up to date, and ends
#
# Each waits until the database and Redis answer, WAIT_SECONDS (60) at most, and fails with
# the reason after that. `exec` throughout: signals reach the process itself.
set -eu

fail() {
    echo "liyuan: $*" >&2
    exit 64
}

role=${1:-web}
patience=${WAIT_SECONDS:-60}

[ $# -le 1 ] || fail "one role, and nothing after it (got: $*)"
case $role in
    web | worker | background | beat | migrate) ;;
    *) fail "unknown role '$role'; known are web, worker, background, beat, migrate" ;;
esac
[ -n "${SECRET_KEY:-}${SECRET_KEY_FILE:-}" ] ||
    fail "SECRET_KEY is not set: 32 characters or more, e.g. from 'openssl rand -hex 32'"
if [ -n "${REDIS_URL:-}${REDIS_URL_FILE:-}" ] && [ -z "${DATABASE_URL:-}${DATABASE_URL_FILE:-}" ]; then
    fail "REDIS_URL is set but DATABASE_URL is not: several processes need PostgreSQL"
fi

cd "$(dirname "$0")/.."
case $role in
    migrate) exec python manage.py prepare --wait "$patience" ;;
    web)
        if [ -z "${REDIS_URL:-}${REDIS_URL_FILE:-}" ]; then
            exec python manage.py serve web --wait "$patience" --prepare
        fi
        exec python manage.py serve web --wait "$patience"
        ;;
    *) exec python manage.py serve "$role" --wait "$patience" ;;
esac
