#!/usr/bin/env bash
# Build the wheel, install it with its dependencies in a new environment, and run it outside the checkout.
# `make wheel` calls this; BIN is the development environment's bin folder, PYTHON the interpreter to start from.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$BIN/python" -m build --wheel --outdir "$folder/dist" . >"$folder/build.log" 2>&1 || { cat "$folder/build.log"; exit 1; }
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip --disable-pip-version-check --quiet install --constraint constraints.txt "$folder"/dist/*.whl
cd "$folder"
"$folder/venv/bin/fedjoule" tables --check >"$folder/printed"
"$folder/venv/bin/fedjoule" tables --out "$folder/out" >/dev/null
"$folder/venv/bin/fedjoule" pipeline --scenario xiaomi10_cifar10 --out "$folder/pipeline" >"$folder/said"
grep -q 'overlap saves 27.4 of 424.4 ms (6.5 %)' "$folder/said"
found=$(grep -c '36 cells: 34 within rounding, 2 truncated.' "$folder/printed")
[ "$found" = 2 ] || { echo "wheel: Table 4 is not reproduced for both readings"; exit 1; }
"$folder/venv/bin/fedjoule" devices >"$folder/devices"
grep -q '^local ' "$folder/devices" || { echo "wheel: fedjoule devices does not list this machine"; exit 1; }
"$folder/venv/bin/fedjoule" demo-phone --port 0 >"$folder/demo" &
for _ in $(seq 50); do grep -q listens "$folder/demo" && break; sleep 0.1; done
kill %1
wait %1 || { echo "wheel: the demo phone did not start and end"; exit 1; }
said=$("$folder/venv/bin/fedjoule" devices --device 127.0.0.1:1 || true)
grep -q 'fedjoule\[profile\]' <<<"$said" || { echo "wheel: without the extra nothing says what to install: $said"; exit 1; }
said=$(env -u ANDROID_NDK_HOME "$folder/venv/bin/fedjoule" profile build --program sampler 2>&1 || true)
grep -q 'fedjoule\[profile\]' <<<"$said" || { echo "wheel: without zig nothing says what to install: $said"; exit 1; }
said=$("$folder/venv/bin/fedjoule" train --out "$folder/run" 2>&1 || true)
grep -q 'fedjoule\[simulate\]' <<<"$said" || { echo "wheel: without the extra nothing says how to train: $said"; exit 1; }
# Built from the wheel with the development environment's zig, what lies in the cache is what the checkout would build.
zig=$("$BIN/python" -c 'import os, ziglang; print(os.path.join(ziglang.__path__[0], "zig"))')
"$folder/venv/bin/fedjoule" profile build --program sampler --compiler "$zig" >"$folder/from_wheel"
"$BIN/fedjoule" profile build --program sampler --compiler "$zig" >"$folder/from_checkout"
cmp "$folder/from_wheel" "$folder/from_checkout" || { echo "wheel: its C sources are not the checkout's"; exit 1; }
for module in torch adb_shell adbutils ziglang salabim pytest pyarrow; do
    if "$folder/venv/bin/python" -c "import $module" 2>/dev/null; then
        echo "wheel: $module was installed and is not needed"
        exit 1
    fi
done
echo "wheel: $(basename "$folder"/dist/*.whl) installs without torch and regenerates Table 4 outside the checkout"
