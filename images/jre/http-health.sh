#!/bin/bash
# http-health PORT PATH: succeeds when the answer's status is 200. Neither a JVM nor an HTTP client is needed.
{ exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || exit 1
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
read -r -t 3 status <&3
[[ $status == HTTP/1.?" 200"* ]]
