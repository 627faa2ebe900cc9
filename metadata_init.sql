-- Create the metadata databases of Airflow and Superset. You can run this script again at any time.
--
--   psql --file metadata_init.sql      (as a superuser, in any database except the warehouse)
--
-- Each database belongs to a role of the same name. This role can connect to neither the other metadata
-- database nor the warehouse. The passwords come from the environment variables AIRFLOW_DB_PASSWORD and
-- SUPERSET_DB_PASSWORD.

\set ON_ERROR_STOP on
\set QUIET on

\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv superset_password SUPERSET_DB_PASSWORD
\if :{?airflow_password} \else
  do $$ begin raise exception 'AIRFLOW_DB_PASSWORD is not set: run "make env"'; end $$;
\endif
\if :{?superset_password} \else
  do $$ begin raise exception 'SUPERSET_DB_PASSWORD is not set: run "make env"'; end $$;
\endif

select format('create role %I', name)
from unnest(array['airflow', 'superset']) as name
where not exists (select from pg_roles where rolname = name)
\gexec

-- The next statements contain passwords, so keep them out of the server's log.
set log_statement = 'none';
set log_min_duration_statement = -1;
set log_min_error_statement = 'panic';
alter role airflow with login password :'airflow_password';
alter role superset with login password :'superset_password';

select format('create database %I owner %I', name, name)
from unnest(array['airflow', 'superset']) as name
where not exists (select from pg_database where datname = name)
\gexec

revoke all on database airflow, superset from public;
