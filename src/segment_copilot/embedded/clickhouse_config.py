"""ClickHouse's two configuration files, written anew at each start.

Users exist only here: the engine inside the wheel has no place to store others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segment_copilot.embedded.directory import DATABASE, LOOPBACK, USER, write_private

KEEPER = "keeper"
CLUSTER = "shards"
"""What the cluster of several embedded servers is called."""

_CONFIG = """<clickhouse>
    <tcp_port>{port}</tcp_port>
    <http_port>0</http_port>
    <listen_host>{loopback}</listen_host>
    <users_config>users.xml</users_config>
    <timezone>UTC</timezone>
    <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
    <mark_cache_size>268435456</mark_cache_size>
{cluster}</clickhouse>
"""

# `default` has no password because the session that runs the server logs in as it; so has everyone on this machine.
# It may open the ports and nothing else. `keeper` ends that session, which stops the server. `app` is ours: everything
# a service does, in databases of our name only; files, URLs, other servers and programs are out of its reach
# (what is not granted is refused).
_USERS = """<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password></password>
            <networks><ip>::1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT SYSTEM LISTEN ON *.*</query>
                <query>GRANT SELECT ON system.numbers</query>
                <query>GRANT CREATE DATABASE ON {database}.*</query>
            </grants>
        </default>
        <{keeper}>
            <password>{keeper_password}</password>
            <networks><ip>{loopback}</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT KILL QUERY ON *.*</query>
                <query>GRANT SELECT ON system.processes</query>
            </grants>
        </{keeper}>
        <{user}>
            <password>{user_password}</password>
            <networks><ip>{loopback}</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP DATABASE, DROP TABLE, DROP VIEW, TRUNCATE, OPTIMIZE ON {database}*.*</query>
                <query>GRANT CREATE TEMPORARY TABLE ON *.*</query>
                <query>GRANT SELECT ON system.*</query>
{engines}
            </grants>
        </{user}>
    </users>
</clickhouse>
"""

_ENGINES = (
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "Join",
    "MaterializedView",
    "Memory",
    "MergeTree",
    "Null",
    "ReplacingMergeTree",
    "Set",
    "SummingMergeTree",
    "VersionedCollapsingMergeTree",
    "View",
)


_SHARD = """            <shard><replica>
                <host>{loopback}</host><port>{port}</port><user>{user}</user><password>{password}</password>
            </replica></shard>
"""


def write_configuration(
    directory: Path, *, port: int, user_password: str, keeper_password: str, cluster: Sequence[int] = ()
) -> None:
    """Write `config.xml` and `users.xml` into *directory*, readable for the owner only.

    *cluster* has the ports of the shards of which this server is one, in order; they all have one password.
    """
    engines = "\n".join(f"                <query>GRANT TABLE ENGINE ON {name}</query>" for name in _ENGINES)
    users = _USERS.format(
        database=DATABASE,
        engines=engines,
        keeper=KEEPER,
        keeper_password=keeper_password,
        loopback=LOOPBACK,
        user=USER,
        user_password=user_password,
    )
    write_private(directory / "users.xml", users)
    write_private(
        directory / "config.xml",
        _CONFIG.format(port=port, loopback=LOOPBACK, cluster=_remote_servers(cluster, user_password)),
    )


def _remote_servers(ports: Sequence[int], password: str) -> str:
    if not ports:
        return ""
    shards = "".join(_SHARD.format(loopback=LOOPBACK, port=port, user=USER, password=password) for port in ports)
    return f"    <remote_servers>\n        <{CLUSTER}>\n{shards}        </{CLUSTER}>\n    </remote_servers>\n"
