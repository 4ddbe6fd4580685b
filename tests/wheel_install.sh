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
"$folder/venv/bin/fedjoule" pipeline --scenario xiaomi10_cifar10 --out "$folder/pipeline" | grep -q 'overlap saves 27.4 of 424.4 ms (6.5 %)'
found=$(grep -c '36 cells: 34 within rounding, 2 truncated.' "$folder/printed")
[ "$found" = 2 ] || { echo "wheel: Table 4 is not reproduced for both readings"; exit 1; }
for module in torch adb_shell salabim pytest; do
    if "$folder/venv/bin/python" -c "import $module" 2>/dev/null; then
        echo "wheel: $module was installed and is not needed"
        exit 1
    fi
done
echo "wheel: $(basename "$folder"/dist/*.whl) installs without torch and regenerates Table 4 outside the checkout"
