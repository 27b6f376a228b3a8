"""moto's S3 API, one PUT at a time: its own looks whether an object is there and then stores it, so two writers that
ask for If-None-Match at once may both be told that they were first."""

import sys
import threading

from moto.s3.responses import S3Response
from moto.server import main

put = S3Response._key_response_put
lock = threading.Lock()


def put_alone(self, *given, **named):
    with lock:
        return put(self, *given, **named)


S3Response._key_response_put = put_alone
main(sys.argv[1:])
