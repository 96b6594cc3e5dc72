import json, sys, importlib.util, hashlib, base64
from pathlib import Path
from seamless_transformer.source_code import capture
from seamless_transformer.identity import identity_text, tf_checksum

V = json.loads(Path("contracts/vectors/identity.json").read_text())
import pytest


@pytest.mark.parametrize(
    "t", [t for t in V["transformations"] if t["kind"] == "python"], ids=lambda t: t["name"]
)
def test_code(t, tmp_path):
    f = tmp_path / (t["name"] + ".py")
    f.write_text(t["module_source"])
    for n, x in (t.get("files") or {}).items():
        p = tmp_path / n
        p.parent.mkdir(exist_ok=True)
        p.write_text(x)
    sys.path.insert(0, str(tmp_path))
    spec = importlib.util.spec_from_file_location(t["name"], f)
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    sys.path.pop(0)
    c = capture(getattr(m, t["function"]))
    if "pin_buffers_base64" in t:
        assert c.text + "\n" == base64.b64decode(t["pin_buffers_base64"]["code"]).decode()
        d = json.loads(t["transformation_dict"])
        assert tf_checksum(d).hex() == t["tf_checksum"]
