-- Runs inside a transaction that is rolled back. `infra.trial` says what to try, and in the end how it came out.
--
-- Each attempt is a subtransaction of its own, ended by an exception in any case: what it did is undone and its locks
-- are let go before the next one. So is all that is done for one login, the admin's membership in it first of all,
-- which no other session ever sees, and which no other session of ours waits for longer than one login takes.
DO $trial$
DECLARE
    input CONSTANT json := current_setting('infra.trial')::json;
    assume CONSTANT bool := input->>'assume';
    attempts CONSTANT int := json_array_length(input->'attempts');
    runs text[];
    asks text[];
    -- Names the object that an attempt locks, if it is one that others use too.
    shared text[];
    step text;
    login text;
    login_oid oid;
    who name;
    who_oid oid;
    assumed bool;
    code text;
    allowed bool;
    codes text[];
    answers text[] := '{}';
BEGIN
    SELECT array_agg(a->>0 ORDER BY place), array_agg(a->>1 ORDER BY place), array_agg(a->>2 ORDER BY place)
    INTO runs, asks, shared
    FROM json_array_elements(input->'attempts') WITH ORDINALITY AS all_of (a, place);
    PERFORM set_config('lock_timeout', '5s', true);
    FOR step IN SELECT json_array_elements_text(input->'setup') LOOP
        EXECUTE step;
    END LOOP;
    FOR login IN SELECT json_array_elements_text(input->'logins') LOOP
        SELECT oid INTO STRICT login_oid FROM pg_roles WHERE rolname = login;
        who := login;
        IF assume THEN
            -- As the server does when the login starts a session; what it may not become, it stays.
            SELECT substr(setting, 6) INTO who
            FROM pg_db_role_setting s, unnest(s.setconfig) AS setting
            WHERE setting LIKE 'role=%' AND s.setrole IN (0, login_oid)
              AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            ORDER BY s.setrole <> 0 AND s.setdatabase <> 0 DESC, s.setrole <> 0 DESC, s.setdatabase <> 0 DESC
            LIMIT 1;
            IF who IS NULL OR NOT EXISTS (SELECT FROM pg_roles WHERE rolname = who)
                OR NOT pg_has_role(login_oid, who, input->>'become') THEN
                who := login;
            END IF;
        ELSE
            who := current_user;
        END IF;
        SELECT oid INTO STRICT who_oid FROM pg_roles WHERE rolname = who;
        codes := '{}';
        assumed := NOT assume;
        BEGIN
            IF assume THEN
                BEGIN
                    EXECUTE format('GRANT %I TO CURRENT_USER %s', login, input->>'options');
                    EXECUTE format('SET LOCAL ROLE %I', who);
                    assumed := true;
                EXCEPTION WHEN insufficient_privilege THEN
                    assumed := false;
                END;
            END IF;
            -- An attempt that has to wait for somebody is given up at once, and the server is asked instead.
            PERFORM set_config('lock_timeout', '100ms', true);
            FOR i IN 1..attempts LOOP
                code := NULL;
                IF assumed AND runs[i] IS NOT NULL THEN
                    BEGIN
                        EXECUTE runs[i];
                        RAISE EXCEPTION USING ERRCODE = 'IN000';
                    EXCEPTION WHEN OTHERS THEN
                        code := CASE WHEN SQLSTATE IN ('IN000', '42501') THEN SQLSTATE ELSE SQLSTATE || ' ' || SQLERRM END;
                        IF SQLSTATE = '55P03' THEN
                            code := NULL;
                            FOR j IN 1..attempts LOOP
                                IF j = i OR shared[j] = shared[i] THEN
                                    runs[j] := NULL;
                                END IF;
                            END LOOP;
                        END IF;
                    END;
                END IF;
                IF code IS NULL THEN
                    EXECUTE 'SELECT ' || asks[i] INTO allowed USING who_oid, login_oid;
                    code := coalesce(allowed::text, '');
                END IF;
                codes := codes || code;
            END LOOP;
            RAISE EXCEPTION USING ERRCODE = 'IN000';
        EXCEPTION WHEN SQLSTATE 'IN000' THEN
            NULL;
        END;
        answers := answers || json_build_object('login', login, 'codes', to_json(codes))::text;
    END LOOP;
    PERFORM set_config('infra.trial', '[' || array_to_string(answers, ',') || ']', true);
END
$trial$
