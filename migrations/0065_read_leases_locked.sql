-- Whether the holder of a lease has its advisory lock, too. Who took over from a holder that stood still has none
-- until that one ends: a free lock then says nothing about the one who works.
ALTER TABLE read.leases ADD COLUMN IF NOT EXISTS locked boolean NOT NULL DEFAULT true;
