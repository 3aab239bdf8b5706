#!/usr/bin/env bash
# license-expression accepts an SPDX expression in which the operator after a bracket is missing.
#
# Guess: "MIT OR (ISC) foo" is malformed (SPDX 2.3, annex D), so parsing raises ExpressionParseError, as "MIT foo" does.
# Seen with license-expression 30.4.4 and boolean.py 5.0: after a closing bracket inside an OR or AND, the next symbol is
# added to that operation. "MIT OR (ISC) foo" becomes OR(MIT, ISC, foo). Who lets a program act on the alternatives of an
# expression therefore grants MIT on text that no licence tool would print. Without the leading operator it is refused.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check license-expression==30.4.4 boolean.py==5.0

cat > show.py <<'PY'
from license_expression import ExpressionError, ExpressionParseError, Licensing

seen = {}
for text in ("MIT foo", "(ISC) foo", "MIT OR (ISC) foo", "MIT AND (ISC) foo"):
    try:
        seen[text] = Licensing().parse(text, simple=True).render()
    except (ExpressionError, ExpressionParseError) as error:
        seen[text] = f"refused: {type(error).__name__}"
    print(f"{text:20} {seen[text]}")
wanted = ["refused: ExpressionParseError", "refused: ExpressionParseError", "MIT OR ISC OR foo", "MIT AND ISC AND foo"]
raise SystemExit(list(seen.values()) != wanted and "changed: the malformed expressions are read otherwise now")
PY
env/bin/python show.py
echo "as stated: a missing operator after a bracket is filled in"
