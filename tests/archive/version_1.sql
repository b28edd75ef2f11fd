-- An archive as metaloop wrote it at version 1 of its tables, as SQL.
PRAGMA application_id = 1835822960;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE artefacts (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,             -- image/png
    caption TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE candidates (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    json TEXT NOT NULL,                   -- core.records.to_json
    program TEXT,                         -- source of a generated learner
    behaviour TEXT,                       -- hash of what a generated learner does on probes
    operator TEXT NOT NULL,               -- what made it: catalogue, mutate slot, crossover, ...
    run INTEGER REFERENCES runs (id)
);
INSERT INTO "candidates" VALUES(1,'4b5381f7de540782','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"nearest_centroid","options":{}},"net":{"name":"raw","options":{}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.003,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"float32","queries":15,"schedule":"cosine","shots":1,"style":"none","warmup":0.05,"ways":5,"weight_decay":0.0001},"program":null}',NULL,NULL,'catalogue',1);
INSERT INTO "candidates" VALUES(2,'b159f019e546363c','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"protonet","options":{"scale":2.0}},"net":{"name":"conv4","options":{}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.003,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"float32","queries":15,"schedule":"cosine","shots":1,"style":"episodes","warmup":0.05,"ways":5,"weight_decay":0.0001},"program":null}',NULL,NULL,'catalogue',1);
CREATE TABLE curves (
    trial INTEGER NOT NULL REFERENCES trials (id),
    position INTEGER NOT NULL,
    step INTEGER NOT NULL,
    wall_seconds REAL NOT NULL,
    loss REAL,
    value REAL,
    PRIMARY KEY (trial, position)
);
INSERT INTO "curves" VALUES(1,0,200,6.0,0.25,0.5);
INSERT INTO "curves" VALUES(2,0,200,6.0,0.25,0.75);
CREATE TABLE data_sets (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,            -- of content and parts
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    classes INTEGER NOT NULL,
    examples INTEGER NOT NULL,
    parts TEXT NOT NULL,                  -- JSON: part -> class names
    left_out TEXT NOT NULL                -- JSON: reason -> how many
);
INSERT INTO "data_sets" VALUES(1,'d4ta','letters','folder of images',8,160,'{"promotion":["e","f"],"search":["c","d"],"test":["g","h"],"train":["a","b"]}','{}');
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    number INTEGER NOT NULL,              -- in the order in which the loop thought of them
    work TEXT NOT NULL,                   -- baselines, train, invent, join, judge
    status TEXT NOT NULL,
    asked TEXT NOT NULL,                  -- JSON: what was proposed and why
    answered TEXT NOT NULL DEFAULT '{}',  -- JSON: what came of it, figures of trials apart
    message TEXT NOT NULL DEFAULT '',
    cpu_seconds REAL NOT NULL DEFAULT 0,
    wall_seconds REAL NOT NULL DEFAULT 0,
    started TEXT NOT NULL,
    ended TEXT
);
INSERT INTO "jobs" VALUES(1,1,0,'train','finished','{}','{}','',0.0,0.0,'2026-11-28T05:10:30.801+00:00','2026-11-28T05:10:30.833+00:00');
INSERT INTO "jobs" VALUES(2,1,1,'train','finished','{}','{}','',0.0,0.0,'2026-11-28T05:10:30.835+00:00','2026-11-28T05:10:30.865+00:00');
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO "meta" VALUES('format','metaloop archive');
INSERT INTO "meta" VALUES('schema version','1');
CREATE TABLE openings (
    id INTEGER PRIMARY KEY,
    run INTEGER REFERENCES runs (id),     -- NULL: opened by `evaluate`, outside of any run
    opened TEXT NOT NULL,
    subject TEXT NOT NULL,                -- identity of the candidate or hash of the model file
    purpose TEXT NOT NULL,
    part TEXT NOT NULL,
    ways INTEGER NOT NULL,
    shots INTEGER NOT NULL,
    queries INTEGER NOT NULL,
    norm_policy TEXT NOT NULL,
    list_hash TEXT NOT NULL,
    data_hash TEXT NOT NULL,
    metric TEXT,                          -- NULL until the evaluation has ended
    value REAL,
    ci95 REAL,
    episodes INTEGER
);
INSERT INTO "openings" VALUES(1,1,'2026-11-28T05:10:30.877+00:00','b159f019e546363c','the end of a learn run','test',2,1,5,'none','list test','d4ta','accuracy',0.7,0.1,1000);
CREATE TABLE parents (
    child TEXT NOT NULL REFERENCES candidates (identity),
    position INTEGER NOT NULL,
    parent TEXT NOT NULL REFERENCES candidates (identity),
    PRIMARY KEY (child, position)
);
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES trials (id),
    metric TEXT NOT NULL,
    value REAL,
    ci95 REAL,
    episodes INTEGER NOT NULL,
    part TEXT NOT NULL,
    ways INTEGER NOT NULL,
    shots INTEGER NOT NULL,
    queries INTEGER NOT NULL,
    norm_policy TEXT NOT NULL,
    list_hash TEXT NOT NULL,
    data_hash TEXT NOT NULL,
    scores_type TEXT CHECK (scores_type IN ('<f4', '<f8')),
    scores BLOB                           -- one number per episode, little-endian
);
INSERT INTO "results" VALUES(1,1,'accuracy',0.5,0.25,4,'search',2,1,5,'none','list search','d4ta','<f8',X'333333333333D33F666666666666E63F9A9999999999D93F333333333333E33F');
INSERT INTO "results" VALUES(2,1,'accuracy',0.5,0.25,4,'promotion',2,1,5,'none','list promotion','d4ta','<f8',X'333333333333D33F666666666666E63F9A9999999999D93F333333333333E33F');
INSERT INTO "results" VALUES(3,2,'accuracy',0.75,0.25,4,'search',2,1,5,'none','list search','d4ta','<f8',X'9A9999999999E13F666666666666EE3FCDCCCCCCCCCCE43F333333333333EB3F');
INSERT INTO "results" VALUES(4,2,'accuracy',0.75,0.25,4,'promotion',2,1,5,'none','list promotion','d4ta','<f8',X'9A9999999999E13F666666666666EE3FCDCCCCCCCCCCE43F333333333333EB3F');
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    ended TEXT,
    command TEXT NOT NULL,
    arguments TEXT NOT NULL,              -- JSON
    seed INTEGER NOT NULL,
    budget TEXT NOT NULL,
    status TEXT NOT NULL,
    environment TEXT NOT NULL             -- JSON: versions, platform, processors
);
INSERT INTO "runs" VALUES(1,'2026-11-28T05:10:30.781+00:00','2026-11-28T05:10:30.885+00:00','learn','{"data":"letters"}',3,'240s','finished','{"python":"3.11"}');
CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    job INTEGER REFERENCES jobs (id),     -- what was done: heads on one net share it
    candidate TEXT NOT NULL REFERENCES candidates (identity),
    data_hash TEXT NOT NULL REFERENCES data_sets (hash),
    status TEXT NOT NULL,
    seed INTEGER NOT NULL,
    rung INTEGER NOT NULL,
    continues INTEGER REFERENCES trials (id),  -- the trial whose trunk this one goes on from
    steps INTEGER NOT NULL DEFAULT 0,
    cpu_seconds REAL NOT NULL DEFAULT 0,
    wall_seconds REAL NOT NULL DEFAULT 0,
    flops REAL,
    message TEXT NOT NULL DEFAULT '',
    started TEXT NOT NULL,
    ended TEXT
);
INSERT INTO "trials" VALUES(1,1,1,'4b5381f7de540782','d4ta','finished',3,0,NULL,200,1.5,0.0,NULL,'','2026-11-28T05:10:30.809+00:00','2026-11-28T05:10:30.817+00:00');
INSERT INTO "trials" VALUES(2,1,2,'b159f019e546363c','d4ta','finished',3,0,NULL,200,1.5,0.0,NULL,'','2026-11-28T05:10:30.845+00:00','2026-11-28T05:10:30.853+00:00');
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    decided TEXT NOT NULL,
    winner TEXT NOT NULL REFERENCES candidates (identity),
    loser TEXT NOT NULL REFERENCES candidates (identity),
    part TEXT NOT NULL,
    difference REAL,
    low REAL,
    episodes INTEGER NOT NULL,
    reason TEXT NOT NULL
);
INSERT INTO "verdicts" VALUES(1,1,'2026-11-28T05:10:30.869+00:00','b159f019e546363c','4b5381f7de540782','promotion',0.25,0.05,4,'paired difference');
CREATE INDEX candidates_behaviour ON candidates (behaviour) WHERE behaviour IS NOT NULL;
CREATE INDEX jobs_run ON jobs (run);
CREATE INDEX trials_run ON trials (run);
CREATE INDEX trials_candidate ON trials (candidate);
CREATE INDEX results_trial ON results (trial);
CREATE INDEX results_list ON results (list_hash);
CREATE INDEX artefacts_run ON artefacts (run);
COMMIT;
