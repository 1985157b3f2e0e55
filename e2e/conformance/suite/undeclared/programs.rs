//! The programs. Scripts of sh(1) run in a folder of their own with `$HOST` and `$PORT`; a client sends the file `payload` there, and prints
//! what it gets back.

/// A protocol, with a server and a client.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) port: u16,
    /// Whether the server speaks first.
    pub(super) greets: bool,
    /// What a client may send at once, to be answered with the same bytes and the end every time. Empty: the protocol's answers differ.
    pub(super) conversation: &'static [u8],
    pub(super) server: &'static str,
    pub(super) client: &'static str,
}

pub(super) const PROGRAMS: &[Program] = &[
    // Its greeting has a salt. Connections that end after the greeting count as errors of their host.
    Program {
        name: "mariadb",
        port: 3306,
        greets: true,
        conversation: b"",
        server: r#"
            mariadb-install-db --no-defaults --user=root --datadir="$PWD/data" --skip-test-db >&2
            printf "CREATE USER mesh@'%%';\nGRANT ALL ON *.* TO mesh@'%%';\nCREATE DATABASE mesh;\n" > users.sql
            exec mariadbd --no-defaults --user=root --datadir="$PWD/data" --socket="$PWD/socket" --pid-file="$PWD/pid" \
                --port="$PORT" --init-file="$PWD/users.sql" --skip-name-resolve --max-connect-errors=1000000"#,
        client: r#"
            (printf "CREATE OR REPLACE TABLE blobs (blob_ LONGTEXT);\nINSERT INTO blobs VALUES ('"
            cat payload
            printf "');\nSELECT blob_ FROM blobs;\n") > blob.sql
            mariadb --no-defaults --protocol=tcp --host="$HOST" --port="$PORT" --user=mesh --batch --raw \
                --skip-column-names --execute="source blob.sql" mesh"#,
    },
    Program {
        name: "smtp",
        port: 25,
        greets: true,
        conversation: b"EHLO client.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<b@server.test>\r\nRSET\r\nQUIT\r\n",
        server: "exec /usr/bin/python3 -c '
import sys, threading
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
Controller(Mailbox(\"mail\"), \"0.0.0.0\", int(sys.argv[1]), server_hostname=\"server.test\").start()
threading.Event().wait()' \"$PORT\"",
        client: "exec /usr/bin/python3 -c '
import mailbox, smtplib, sys, textwrap
text = textwrap.fill(open(\"payload\").read(), 76)
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), \"client.test\") as smtp:
    smtp.sendmail(\"a@client.test\", [\"b@server.test\"], \"Subject: test\\n\\n\" + text)
key, message = mailbox.Maildir(\"mail\").popitem()
print(message.get_payload().replace(\"\\n\", \"\"))' \"$HOST\" \"$PORT\"",
    },
    // After its first line each side sends a cookie.
    Program {
        name: "ssh",
        port: 22,
        greets: true,
        conversation: b"",
        server: r#"
            mkdir -p /run/sshd
            ssh-keygen -q -t ed25519 -N '' -f host
            ssh-keygen -q -t ed25519 -N '' -f user
            exec /usr/sbin/sshd -D -e -f /dev/null -p "$PORT" -h "$PWD/host" -o AuthorizedKeysFile="$PWD/user.pub" \
                -o StrictModes=no -o PidFile=none -o MaxStartups=100"#,
        client: r#"
            ssh -F none -i user -p "$PORT" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
                -o LogLevel=ERROR "root@$HOST" cat < payload"#,
    },
    // The data connections go where the server says: to its pod's address, at any port.
    Program {
        name: "ftp",
        port: 21,
        greets: true,
        conversation: b"USER anonymous\r\nPASS x\r\nPWD\r\nNOOP\r\nQUIT\r\n",
        server: r#"
            mkdir files
            exec /usr/bin/python3 -m pyftpdlib --interface=0.0.0.0 --port="$PORT" --write --directory=files"#,
        client: r#"
            curl --silent --show-error --disable-epsv --no-ftp-skip-pasv-ip --upload-file payload "ftp://$HOST:$PORT/blob"
            curl --silent --show-error --disable-epsv --no-ftp-skip-pasv-ip "ftp://$HOST:$PORT/blob""#,
    },
    // Its greeting has the number of the connection.
    Program {
        name: "nats",
        port: 4222,
        greets: true,
        conversation: b"",
        server: r#"exec nats-server --port "$PORT""#,
        client: r#"nats "nats://$HOST:$PORT" payload"#,
    },
    Program {
        name: "redis",
        port: 6379,
        greets: false,
        conversation: b"PING\r\nSET count 1\r\nINCR count\r\nNONSENSE\r\nQUIT\r\n",
        server: r#"exec redis-server --port "$PORT" --protected-mode no --save """#,
        client: r#"
            redis-cli -h "$HOST" -p "$PORT" -x SET blob < payload >&2
            redis-cli -h "$HOST" -p "$PORT" --raw GET blob"#,
    },
    // SSLRequest, answered by one byte; then a user that is not there.
    Program {
        name: "postgresql",
        port: 5432,
        greets: false,
        conversation: b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x15\0\x03\0\0user\0nobody\0\0",
        server: r#"
            mkdir data
            chown postgres data
            exec setpriv --reuid=postgres --regid=postgres --clear-groups sh -euc '
                PATH="/usr/lib/postgresql/15/bin:$PATH"
                initdb --auth=trust --username=mesh --no-sync --pgdata="$PWD/data" >&2
                echo "host all all all trust" >> data/pg_hba.conf
                exec postgres -D "$PWD/data" -p "$PORT" -h "*" -k "$PWD/data"'"#,
        client: r#"
            (printf "DROP TABLE IF EXISTS blobs;\nCREATE TABLE blobs (blob text);\nINSERT INTO blobs VALUES ('"
            cat payload
            printf "');\nSELECT blob FROM blobs;\n") > blob.sql
            psql --quiet --no-psqlrc --host="$HOST" --port="$PORT" --username=mesh --tuples-only --no-align \
                --file=blob.sql postgres"#,
    },
    // CONNECT without a session to keep, and DISCONNECT.
    Program {
        name: "mqtt",
        port: 1883,
        greets: false,
        conversation: b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a\xe0\0",
        server: r#"
            printf "listener %s\nallow_anonymous true\n" "$PORT" > mosquitto.conf
            exec mosquitto -c mosquitto.conf"#,
        client: r#"
            mosquitto_pub -h "$HOST" -p "$PORT" -q 1 -t blob -r -f payload
            mosquitto_sub -h "$HOST" -p "$PORT" -q 1 -t blob -C 1"#,
    },
    // It works on several requests at once, so that one which ends the connection may overtake another.
    Program {
        name: "ldap",
        port: 389,
        greets: false,
        conversation: b"",
        server: r#"
            mkdir data
            cat > slapd.conf <<END
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "dc=mesh"
rootdn "cn=root,dc=mesh"
rootpw secret
directory $PWD/data
maxsize 104857600
END
            printf "dn: dc=mesh\nobjectClass: domain\ndc: mesh\n" | slapadd -f slapd.conf
            exec slapd -d 0 -f slapd.conf -h "ldap://0.0.0.0:$PORT/""#,
        client: r#"
            (printf "dn: dc=mesh\nchangetype: modify\nreplace: description\ndescription: "
            cat payload
            echo) > blob.ldif
            ldapmodify -x -H "ldap://$HOST:$PORT" -D cn=root,dc=mesh -w secret -f blob.ldif >&2
            ldapsearch -x -LLL -o ldif-wrap=no -H "ldap://$HOST:$PORT" -b dc=mesh -s base description |
                sed -n 's/^description: //p'"#,
    },
];
