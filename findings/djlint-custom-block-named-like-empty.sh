#!/usr/bin/env bash
# djlint takes a custom block tag whose name begins with "empty" for the `{% empty %}` of a loop.
#
# Guess: a name listed in `custom_blocks` is a block tag like any other, whatever it is called.
# Seen with djlint 1.49.10: a block named "emptystate" is put one step too far left, and every line after it in the file
# too; under the name "nodata" the same template is indented as written. `--check` then calls the wrong form correct.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check djlint==1.49.10

page() {
  printf '%s\n' '{% if rows %}' '  <p>Rows</p>' '{% else %}' "  {% $1 icon=\"box\" %}" '    Nothing here.' "  {% end$1 %}" '{% endif %}'
}
formatted() { # NAME: the template with a block of that name, as djlint leaves it
  page "$1" > "$1.html"
  cp "$1.html" "$1.before"
  # djlint ends with 1 when it has changed a file.
  env/bin/djlint --profile django --indent 2 --custom-blocks "$1" --reformat --quiet "$1.html" > /dev/null || true
  cat "$1.html"
}

formatted nodata > /dev/null
cmp -s nodata.html nodata.before || { echo "changed: a block with an ordinary name is moved too"; cat nodata.html; exit 1; }
formatted emptystate
if cmp -s emptystate.html emptystate.before; then
  echo "changed: the block named emptystate is left where it was"
  exit 1
fi
grep -q '^{% emptystate' emptystate.html
env/bin/djlint --profile django --indent 2 --custom-blocks emptystate --check --quiet emptystate.html
echo "as stated: only the block whose name begins with 'empty' is moved, and --check accepts the result"
