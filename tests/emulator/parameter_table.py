"""Some of the parameters of Aurora PostgreSQL, as DescribeDBClusterParameters and DescribeDBParameters tell them.

One line each: name, where it can be set (c: cluster group, b: both), static or dynamic, modifiable or fixed, type,
allowed values, default ("-": none).
"""

TABLE = """
apg_plan_mgmt.capture_plan_baselines b dynamic modifiable string off,manual,automatic off
apg_plan_mgmt.max_plans b static modifiable integer 1-2147483647 10000
apg_plan_mgmt.use_plan_baselines b dynamic modifiable boolean 0,1 0
application_name b dynamic modifiable string - -
archive_mode c static fixed boolean 0,1 1
authentication_timeout b dynamic modifiable integer 1-600 60
auto_explain.log_analyze b dynamic modifiable boolean 0,1 0
auto_explain.log_min_duration b dynamic modifiable integer -1-2147483647 -1
autovacuum b dynamic modifiable boolean 0,1 1
autovacuum_max_workers b static modifiable integer 1-262143 GREATEST({DBInstanceClassMemory/64371566592},3)
autovacuum_naptime b dynamic modifiable integer 1-2147483 5
autovacuum_vacuum_scale_factor b dynamic modifiable float 0-100 0.1
checkpoint_timeout c dynamic fixed integer 30-86400 60
client_encoding b dynamic modifiable string - -
cron.database_name c static modifiable string - postgres
data_directory c static fixed string - /rdsdbdata/db
deadlock_timeout b dynamic modifiable integer 1-2147483647 1000
default_statistics_target b dynamic modifiable integer 1-10000 100
default_transaction_isolation b dynamic modifiable string read\\ committed,serializable -
default_transaction_read_only b dynamic modifiable boolean 0,1 0
effective_cache_size b dynamic modifiable integer 1-2147483647 SUM({DBInstanceClassMemory/12038},-50003)
hot_standby_feedback b dynamic modifiable boolean 0,1 1
huge_pages b static modifiable string on,off,try on
idle_in_transaction_session_timeout b dynamic modifiable integer 0-2147483647 86400000
jit b dynamic modifiable boolean 0,1 0
lc_messages b dynamic modifiable string - -
lock_timeout b dynamic modifiable integer 0-2147483647 -
log_autovacuum_min_duration b dynamic modifiable integer -1-2147483647 10000
log_connections b dynamic modifiable boolean 0,1 -
log_disconnections b dynamic modifiable boolean 0,1 -
log_lock_waits b dynamic modifiable boolean 0,1 1
log_min_duration_statement b dynamic modifiable integer -1-2147483647 -
log_min_error_statement b dynamic modifiable string debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic -
log_rotation_age b dynamic modifiable integer 1-1440 60
log_statement b dynamic modifiable string none,ddl,mod,all -
log_temp_files b dynamic modifiable integer -1-2147483647 -
maintenance_work_mem b dynamic modifiable integer 1024-2147483647 GREATEST({DBInstanceClassMemory/63963136*1024},65536)
max_connections b static modifiable integer 6-262143 LEAST({DBInstanceClassMemory/9531392},5000)
max_locks_per_transaction b static modifiable integer 10-2147483647 64
max_logical_replication_workers c static modifiable integer 0-262143 -
max_parallel_workers b dynamic modifiable integer 0-1024 GREATEST($DBInstanceVCPU/2,8)
max_prepared_transactions b static modifiable integer 0-262143 0
max_replication_slots c static modifiable integer 5-1048576 20
max_wal_senders c static modifiable integer 5-1048576 20
max_worker_processes b static modifiable integer 0-262143 GREATEST(${DBInstanceVCPU*2},8)
password_encryption c dynamic modifiable string md5,scram-sha-256 -
pg_stat_statements.max b static modifiable integer 100-2147483647 5000
pg_stat_statements.track b dynamic modifiable string none,top,all -
pgaudit.log b dynamic modifiable list ddl,function,misc,read,role,write,none,all,-ddl,-function,-misc,-read,-role,-write -
pgaudit.role b dynamic modifiable string - -
random_page_cost b dynamic modifiable float 0-1.79769e+308 4
rds.accepted_password_auth_method c dynamic modifiable string md5+scram,scram md5+scram
rds.force_autovacuum_logging_level b dynamic modifiable string disabled,debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic warning
rds.force_ssl c dynamic modifiable boolean 0,1 0
rds.log_retention_period b dynamic modifiable integer 1440-10080 4320
rds.logical_replication c static modifiable boolean 0,1 0
rds.restrict_password_commands b static modifiable boolean 0,1 -
search_path b dynamic modifiable string - -
shared_buffers b static modifiable integer 16-1073741823 SUM({DBInstanceClassMemory/12038},-50003)
shared_preload_libraries b static modifiable list auto_explain,orafce,pgaudit,pglogical,pg_bigm,pg_cron,pg_hint_plan,pg_prewarm,pg_similarity,pg_stat_statements,pg_tle,plprofiler,plrust pg_stat_statements
ssl c static fixed boolean 0,1 1
ssl_max_protocol_version c dynamic modifiable string TLSv1.2,TLSv1.3 -
ssl_min_protocol_version c dynamic modifiable string TLSv1,TLSv1.1,TLSv1.2,TLSv1.3 TLSv1.2
statement_timeout b dynamic modifiable integer 0-2147483647 -
temp_buffers b dynamic modifiable integer 100-1073741823 -
timezone c dynamic modifiable string - UTC
track_activity_query_size b static modifiable integer 100-102400 4096
track_io_timing b dynamic modifiable boolean 0,1 1
vacuum_cost_limit b dynamic modifiable integer 1-10000 GREATEST({log(DBInstanceClassMemory/21474836480)*600},200)
wal_receiver_timeout b dynamic modifiable integer 0-3600000 30000
wal_sender_timeout b dynamic modifiable integer 0-3600000 -
work_mem b dynamic modifiable integer 64-2147483647 -
"""


def parse():
    known = {}
    for line in TABLE.strip().splitlines():
        name, place, apply_type, modifiable, data_type, allowed, default = line.replace("\\ ", "\0").split()
        known[name] = {
            "ParameterName": name,
            "ApplyType": apply_type,
            "IsModifiable": modifiable == "modifiable",
            "DataType": data_type,
            "AllowedValues": None if allowed == "-" else allowed.replace("\0", " "),
            "Default": None if default == "-" else default,
            "ClusterOnly": place == "c",
        }
    return known


KNOWN = parse()
