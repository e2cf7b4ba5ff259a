#!/usr/bin/env bash
# Makes the image that judged ready on this machine, and takes the runner out of it: for the actions beside this file.
#   IMAGE, BUILT    the outputs of validate.yml; where it was built in the run, weighin-image/image.tar holds it
#   IMAGE_USERNAME, IMAGE_PASSWORD   of the container registry, for the time of the pull; may be empty
set -euo pipefail
if ! docker image inspect "$IMAGE" >/dev/null 2>&1; then
  if [ "$BUILT" = true ]; then docker load --quiet --input weighin-image/image.tar; else
    if [ -n "$IMAGE_PASSWORD" ]; then docker login "${IMAGE%%/*}" --username "$IMAGE_USERNAME" --password-stdin <<<"$IMAGE_PASSWORD"; fi
    docker pull --quiet "$IMAGE"
    if [ -n "$IMAGE_PASSWORD" ]; then docker logout "${IMAGE%%/*}"; fi
  fi
fi
container=$(docker create "$IMAGE")
rm -rf "$RUNNER_TEMP/weighin-host"
docker cp "$container:/opt/weighin/host" "$RUNNER_TEMP/weighin-host"
docker rm "$container"
