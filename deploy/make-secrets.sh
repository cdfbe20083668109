#!/usr/bin/env sh
# Makes the secrets that docker-compose.yml mounts, each once: a second run changes nothing.
set -eu
folder=$(dirname "$0")/secrets
# The containers' own users read the files, so it is the folder that keeps others out.
mkdir -p "$folder" && chmod 700 "$folder"

secret() { head -c 36 /dev/urandom | base64 | tr '+/' '-_'; }
keep() {
  [ -s "$folder/$1" ] || printf '%s\n' "$2" > "$folder/$1"
  chmod 644 "$folder/$1"
}

keep jwt_secret "$(secret)"
keep grafana_password "$(secret)"
keep postgres_password "$(secret)"
keep redis_password "$(secret)"
keep database_url "postgres://parley:$(cat "$folder/postgres_password")@postgres:5432/parley"
keep redis_url "redis://:$(cat "$folder/redis_password")@redis:6379"
