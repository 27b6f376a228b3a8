"""Makes the container `lake` in azurite: make_container.py HOST:PORT. The account and its key are every emulator's."""
import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.request

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

date = email.utils.formatdate(usegmt=True)
empty_headers = "\n" * 12
text = f"PUT{empty_headers}x-ms-date:{date}\nx-ms-version:2021-08-06\n/{ACCOUNT}/{ACCOUNT}/lake\nrestype:container"
signature = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
headers = {"x-ms-date": date, "x-ms-version": "2021-08-06", "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
url = f"http://{sys.argv[1]}/{ACCOUNT}/lake?restype=container"
urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers))
